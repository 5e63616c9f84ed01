"""Bytes of tensors: what was written is read back, and nothing else is read as numbers."""

import json

import numpy as np
import pytest

from acclimate_device.tensor_bytes import DTYPES, from_bytes, packed, to_bytes, unpacked
from acclimate_shared.errors import CorruptStateError


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_every_kind_of_number_comes_back(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    found = from_bytes(unpacked(packed(to_bytes(array))))
    assert (found.dtype.str, found.shape, found.tobytes()) == (dtype, (2, 3), array.tobytes())


@pytest.mark.parametrize("dtype", [",4", "O", "<U4", ">f8", "f8,f8", "<c16", "(2,)<f8", "", 8, None, ["<f8"]])
def test_what_is_no_kind_of_number_is_refused(dtype: object) -> None:
    head = json.dumps([dtype, [1]]).encode()
    with pytest.raises(CorruptStateError):
        from_bytes(len(head).to_bytes(4, "big") + head + bytes(8))
