"""Scripts as beamlines have them, with nothing but their import line changed."""

import asyncio

from scan_rig import FakeIOC

import beamfly.scan
from beamfly.scan.config import ScanConfig
from beamfly.scan.server import ScanServer

CLIENT = """
from beamfly.scan import *

client = ScanClient('127.0.0.1', PORT)
client.serverInfo()
cmds = [ Comment('Hello'), Set('motor_x', 10) ]
simulation = client.simulate(cmds)
assert 'Hello' in simulation['simulation']

id = client.submit(cmds, 'My First Scan')
info = client.waitUntilDone(id)
assert str(info) == "'My First Scan' [1]: Finished", str(info)

id = client.submit([ Wait('loc://never(0)', 1) ], 'Not sure about this one')
client.pause(id)
client.resume(id)
client.abort(id)
try:
    client.waitUntilDone(id)
    failed = False
except Exception as e:
    failed = 'aborted' in str(e)
assert failed
client.delete(id)

try:
    id = client.submit([ Wait('motor_x', 60, timeout=0.1) ], 'Timeout Test')
    client.waitUntilDone(id)
    failed = False
except Exception as e:
    failed = 'motor_x (10.0) = 60.0' in str(e)
assert failed

cmds = [ Loop('motor_x', 1, 3, 1,
              [ Set('neutrons', 0),
                Loop('motor_y', 1, 2, 1, [ Delay(0.01), Log('motor_y') ]),
                Log('motor_x', 'neutrons') ]) ]
id = client.submit(cmds, 'Data Demo')
client.waitUntilDone(id)
table = createTable(client.getData(id), 'motor_x', 'neutrons')
assert table == [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], table

class BeamlineScanSettings(ScanSettings):
    def __init__(self):
        super(BeamlineScanSettings, self).__init__()
        self.defineDeviceClass("motor_.", completion=True, readback=True)
        self.defineDeviceClass("neutrons", comparison="increase by")

before = getScanSettings()
setScanSettings(BeamlineScanSettings())
table_scan = TableScan([ 'motor_x', '+p motor_y', 'Wait For', 'Value' ],
                       [ [ 'range(3)', '7', 'seconds', '0.01' ] ])
for commands in (table_scan.createScan(),
                 createNDimScan(('motor_x', 1, 3), ('motor_y', 1, 2), 'neutrons')):
    id = client.submit(CommandSequence(commands), 'Table')
    client.waitUntilDone(id)
    result = getTable(client.getData(id), 'motor_x', 'motor_y', with_id=True)
setScanSettings(before)
assert result == [list(range(6)), [1, 1, 2, 2, 3, 3], [1, 2, 1, 2, 1, 2]], result
for line, sample in enumerate(iterateSamples(client.getData(id), 'neutrons')):
    assert sample[0] == line and getDatetime(sample[1])
client.clear()
assert client.scanInfos() == []
client.close()
"""


async def test_a_script_of_a_beamline():
    async with ScanServer(ScanConfig(port=0), channels=FakeIOC(0.0)) as server:
        text = CLIENT.replace("PORT", str(server.port))
        await asyncio.to_thread(exec, compile(text, "client", "exec"), {})


def test_a_star_import_shadows_nothing():
    names: dict = {}
    exec("from beamfly.scan import *", names)
    assert not {"set", "list", "log", "loop", "data", "wait", "table"} & set(names)
    assert set(beamfly.scan.__all__) <= set(names)
