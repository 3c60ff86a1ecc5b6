"""Writes reference.safetensors with the reference implementation (PyPI safetensors 0.8.0, numpy)."""
import numpy as np
from safetensors import TensorSpec, serialize_file

elements = {"int64": 8, "float64": 8, "float32": 4, "bfloat16": 2, "uint8": 1, "bool": 1}
tensors = [  # name, dtype, shape; bytes count up from 0 in every tensor
    ("bn1.num_batches_tracked", "int64", []),
    ("conv1.weight", "float32", [2, 3]),
    ("bn1.bias", "float32", [2]),
    ("nothing", "float32", [0, 3]),
    ("half", "bfloat16", [3]),
    ("d", "float64", [1]),
    ("mask", "bool", [1]),
    ("bytes", "uint8", [5]),
    ('quote " slash \\ / tab \t one \x01 \x7f \u00e9 \U0001f600', "uint8", [1]),
]
specs, alive = {}, []
for name, dtype, shape in tensors:
    data = np.arange(int(np.prod(shape)) * elements[dtype], dtype=np.uint8)
    alive.append(data)
    specs[name] = TensorSpec(dtype=dtype, shape=shape, data_ptr=data.ctypes.data, data_len=data.size)
serialize_file(specs, __file__.replace("make_reference.py", "reference.safetensors"), {"format": "pt"})
