"""The instruction sets: list them, ask which one runs, force each; the bits are the same.

The environment variable UNITVAR_ISA changes what runs by default.
"""

import numpy as np

import unitvar

x = np.random.default_rng(1).normal(3, 2, (2, 10, 10, 24)).astype(np.float32)

default = unitvar.selected_isa("automatic")
print(f"by default: {default}")
y = unitvar.batch_norm(x, channel_axis=-1).y

isas = unitvar.supported_isas()
for isa in isas:
    forced = unitvar.batch_norm(x, channel_axis=-1, options=unitvar.Options(isa=isa)).y
    same = np.array_equal(forced, y) and unitvar.selected_isa(isa) == isa
    print(f"  {isa:<8} {'same bits' if same else 'DIFFERENT'}")
    assert same

assert "portable" in isas and default in isas
