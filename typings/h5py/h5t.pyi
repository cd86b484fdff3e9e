from typing import Any

import numpy as np

class TypeID: ...

def py_create(dtype: np.dtype[Any], logical: bool = False) -> TypeID: ...
