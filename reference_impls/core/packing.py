"""Packing: whole numbers of any width written one after another into bytes, least significant bit first."""

import torch
from torch import Tensor

# Codes worked on at a time, a multiple of eight: keeps the memory of packing a large matrix small.
_PIECE = 1 << 22


def pack(codes: Tensor, bits: int) -> Tensor:
    """Codes 0 .. 2^bits - 1 of any shape, read row by row, as uint8 (ceil(count * bits / 8),).

    Raises ValueError for a width outside 1 .. 16 and for a code that does not fit.
    """
    _check_bits(bits)
    codes = codes.reshape(-1)
    if codes.numel() and (int(codes.min()) < 0 or int(codes.max()) >= 2**bits):
        raise ValueError(f"codes go from {int(codes.min())} to {int(codes.max())}; {bits} bits hold 0 to {2**bits - 1}")
    if bits == 8:
        return codes.to(torch.uint8)
    # Eight codes fill exactly `bits` bytes; in pieces of that size no bit crosses from one piece to the next.
    return torch.cat([_pack_piece(piece, bits) for piece in codes.split(_PIECE)])


def _pack_piece(codes: Tensor, bits: int) -> Tensor:
    count = codes.numel()
    padded = torch.zeros(-(-count // 8), 8, dtype=torch.int32, device=codes.device)
    padded.view(-1)[:count] = codes.to(torch.int32)
    packed = torch.zeros(len(padded), bits, dtype=torch.uint8, device=codes.device)
    for code, byte, shift in _overlaps(bits):
        column = padded[:, code]
        packed[:, byte] |= ((column << shift if shift >= 0 else column >> -shift) & 255).to(torch.uint8)
    return packed.view(-1)[: packed_size(count, bits)].clone()


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """The `count` codes of packed bytes, int32 (count,). Raises ValueError where the bytes do not fit the count."""
    _check_bits(bits)
    if packed.dtype != torch.uint8 or packed.numel() != packed_size(count, bits):
        raise ValueError(
            f"{packed.numel()} values of {packed.dtype} given; {count} codes of {bits} bits take "
            f"{packed_size(count, bits)} bytes (uint8)"
        )
    if bits == 8:
        return packed.reshape(-1).to(torch.int32)
    codes = [_unpack_piece(piece, bits) for piece in packed.reshape(-1).split(_PIECE // 8 * bits)]
    return torch.cat(codes)[:count]


def _unpack_piece(packed: Tensor, bits: int) -> Tensor:
    padded = torch.zeros(-(-packed.numel() // bits), bits, dtype=torch.int32, device=packed.device)
    padded.view(-1)[: packed.numel()] = packed.to(torch.int32)
    codes = torch.zeros(len(padded), 8, dtype=torch.int32, device=packed.device)
    for code, byte, shift in _overlaps(bits):
        column = padded[:, byte]
        codes[:, code] |= (column >> shift if shift >= 0 else column << -shift) & (2**bits - 1)
    return codes.view(-1)


def _overlaps(bits: int) -> list[tuple[int, int, int]]:
    """(code, byte, shift) for every byte that each of eight codes touches; the shift takes the code into the byte."""
    return [
        (code, byte, code * bits - 8 * byte)
        for code in range(8)
        for byte in range(code * bits // 8, (code * bits + bits - 1) // 8 + 1)
    ]


def packed_size(count: int, bits: int) -> int:
    """Bytes that `count` codes of `bits` bits take."""
    return -(-count * bits // 8)


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= 16:
        raise ValueError(f"bits is {bits}; codes of 1 to 16 bits can be packed")
