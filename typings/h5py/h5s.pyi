UNLIMITED: int

class SpaceID:
    def select_hyperslab(
        self, start: tuple[int, ...], count: tuple[int, ...]
    ) -> None: ...

def create_simple(
    dims: tuple[int, ...], max_dims: tuple[int, ...] | None = None
) -> SpaceID: ...
