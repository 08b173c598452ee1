"""Grid: the one uniform quantizer of this project, with every choice on which published codes differ made explicit.

A grid turns a value w into a whole number c of 0 .. 2^bits - 1 and back:

    quantize     c = clamp(round(w / scale) + zero, 0, 2^bits - 1)
    dequantize   w ~ scale (c - zero)

Two programs that differ in these choices do not give the same model, so each is an option:

    symmetric        False  scale and zero follow the smallest and the largest value.
                     True   the zero is fixed at 2^(bits-1) and only the largest magnitude counts.
    levels           symmetric grids only. "full": scale = absmax / ((2^bits - 1) / 2), all 2^bits codes are used and
                     the largest magnitude falls between two codes. "restricted": scale = absmax / (2^(bits-1) - 1), one
                     code is left unused and the largest magnitude is met exactly.
    include_zero     asymmetric grids only. True: the range is widened until it holds 0, so 0 stays exactly 0.
    zero             asymmetric grids only. "integer": the zero is rounded to a code. "float": it stays a real number,
                     and what is rounded is w / scale + zero.
    clip             the range is multiplied by this ratio. group_size: columns with one scale; None: the whole row.
    ties             "even": halves go to the even neighbour (torch.round). "up": to the larger one, floor(x + 1/2).
    dtype            precision in which scale and float zero are stored. They are rounded to it before any code is
                     chosen, so that the codes fit the grid that is saved. float32: to compare with other packages.

As far as their published code was read:

    GPTQ         asymmetric, zero included, integer zero, ties even; symmetric: full levels
    torchao      IntxWeightOnlyConfig: ASYMMETRIC as GPTQ; SYMMETRIC: full levels
    AWQ          asymmetric, integer zero clamped to a code, zero not included; symmetric: restricted levels
    SmoothQuant  symmetric, restricted levels
    HQQ          asymmetric, zero not included, float zero (its starting point; its solver then moves the zero)

A method that changes weights on its way fits a grid for each group and joins them with `Grid.join`.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from reference_impls.core.grouping import split_groups

Ties = Literal["even", "up"]
MAX_BITS = 16


@dataclass(frozen=True)
class Grid:
    """Scales and zeros of a matrix (rows, columns).

    scale       (rows, groups), of the dtype it is stored in
    zero        (rows, groups): whole numbers (uint8, or int32 above 8 bits) or, with a float zero, the dtype of scale
    bits        1 .. 16
    group_size  columns of one group; None: one group holds every column
    symmetric   the zero is 2^(bits-1) everywhere and need not be stored
    ties        rounding of halves
    """

    scale: Tensor
    zero: Tensor
    bits: int
    group_size: int | None = None
    symmetric: bool = False
    ties: Ties = "even"

    @classmethod
    def fit(
        cls,
        values: Tensor,
        *,
        bits: int,
        group_size: int | None = None,
        symmetric: bool = False,
        levels: Literal["full", "restricted"] = "restricted",
        include_zero: bool = True,
        zero: Literal["integer", "float"] = "integer",
        clip: float = 1.0,
        ties: Ties = "even",
        dtype: torch.dtype = torch.float16,
    ) -> "Grid":
        """The grid of values (rows, columns), each row and group by its smallest and largest value.

        A group without any spread gets a grid that holds its value (0 if the value is 0). Raises ValueError for options
        outside their range, a group size that does not divide the columns, and values that are not finite.
        """
        _check(values, bits, symmetric, levels, zero, clip, ties)
        values = split_groups(values.float(), group_size)  # (rows, groups, columns of a group)
        low, high = values.amin(-1) * clip, values.amax(-1) * clip  # (rows, groups)
        top = 2**bits - 1
        if symmetric:
            steps = top / 2 if levels == "full" else 2 ** (bits - 1) - 1
            scale = _stored_scale(torch.maximum(low.abs(), high.abs()) / steps, dtype)
            return cls(scale, _whole(torch.full_like(low, 2 ** (bits - 1)), bits), bits, group_size, True, ties)
        if include_zero:
            low, high = low.clamp(max=0), high.clamp(min=0)
        spread = high - low
        # A group of one value: any step serves, and this one puts the value exactly one step away from 0.
        spread = torch.where(spread == 0, torch.where(low == 0, 1.0, low.abs()) * top, spread)
        scale = _stored_scale(spread / top, dtype)
        exact = -low / scale.float()
        if zero == "float":
            return cls(scale, exact.to(dtype), bits, group_size, False, ties)
        return cls(scale, _whole(_round_(exact, ties).clamp(0, top), bits), bits, group_size, False, ties)

    @property
    def groups(self) -> int:
        return self.scale.shape[1]

    @property
    def integer_zero(self) -> bool:
        return not self.zero.is_floating_point()

    def quantize(self, values: Tensor) -> Tensor:
        """Codes (rows, columns), int32, of values (rows, columns). With one group any number of columns will do."""
        grouped, scale, zero = self._grouped(values)
        codes = grouped / scale  # the one copy; what follows works in place
        if self.integer_zero:
            codes = _round_(codes, self.ties).add_(zero)
        else:
            codes = _round_(codes.add_(zero), self.ties)
        return codes.clamp_(0, 2**self.bits - 1).to(torch.int32).reshape(values.shape)

    def dequantize(self, codes: Tensor) -> Tensor:
        """Values (rows, columns), float32 (float64 for float64 codes), of codes (rows, columns)."""
        grouped, scale, zero = self._grouped(codes)
        return (grouped - zero).mul_(scale).reshape(codes.shape)

    def round(self, values: Tensor) -> Tensor:
        """The nearest values that the grid can hold, (rows, columns)."""
        return self.dequantize(self.quantize(values))

    def group(self, index: int) -> "Grid":
        """The grid of one group alone, (rows, 1)."""
        return replace(
            self, scale=self.scale[:, index : index + 1], zero=self.zero[:, index : index + 1], group_size=None
        )

    @classmethod
    def join(cls, grids: list["Grid"], group_size: int | None) -> "Grid":
        """Grids (rows, 1) of consecutive groups as one grid (rows, groups)."""
        if not grids:
            raise ValueError("no grids to join")
        return replace(
            grids[0],
            scale=torch.cat([grid.scale for grid in grids], 1),
            zero=torch.cat([grid.zero for grid in grids], 1),
            group_size=group_size,
        )

    def to(self, device: torch.device | str) -> "Grid":
        return replace(self, scale=self.scale.to(device), zero=self.zero.to(device))

    def _grouped(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values (rows, groups, columns of a group), scale and zero (rows, groups, 1), in float32."""
        # float64 values keep their precision, so that a float64 twin can use the same grid.
        kind = torch.float64 if values.dtype == torch.float64 else torch.float32
        if self.groups > 1 and (self.group_size is None or values.shape[1] != self.groups * self.group_size):
            raise ValueError(
                f"values have {values.shape[1]} columns; the grid has {self.groups} groups of {self.group_size}"
            )
        grouped = split_groups(values.to(kind), self.group_size if self.groups > 1 else None)
        return grouped, self.scale.to(kind)[..., None], self.zero.to(kind)[..., None]


def _round_(values: Tensor, ties: Ties) -> Tensor:
    """Rounds in place."""
    return values.round_() if ties == "even" else values.add_(0.5).floor_()


def _whole(zero: Tensor, bits: int) -> Tensor:
    return zero.to(torch.uint8 if bits <= 8 else torch.int32)


def _stored_scale(scale: Tensor, dtype: torch.dtype) -> Tensor:
    """The scale in its stored precision: 1 where it is 0, the smallest number where it would vanish."""
    stored = torch.where(scale == 0, torch.ones_like(scale), scale).to(dtype)
    if not torch.isfinite(stored).all():
        raise ValueError(f"a scale of {scale.max().item():.4g} cannot be stored as {dtype}")
    smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    return torch.where(stored == 0, torch.full_like(stored, smallest), stored)


def _check(values: Tensor, bits: int, symmetric: bool, levels: str, zero: str, clip: float, ties: str) -> None:
    if not 1 <= bits <= MAX_BITS:
        raise ValueError(f"bits is {bits}; allowed are 1 to {MAX_BITS}")
    if symmetric and levels == "restricted" and bits == 1:
        raise ValueError('bits is 1; a symmetric grid with levels "restricted" needs at least 2')
    for name, value, allowed in (
        ("levels", levels, ("full", "restricted")),
        ("zero", zero, ("integer", "float")),
        ("ties", ties, ("even", "up")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} is {value!r}; allowed are {' and '.join(allowed)}")
    if not 0 < clip <= 1:
        raise ValueError(f"clip is {clip}; allowed is 0 < clip <= 1")
    if values.numel() == 0:
        raise ValueError(f"values have shape {tuple(values.shape)}; a grid needs at least one value")
    if not torch.isfinite(values).all():
        raise ValueError("values hold a number that is not finite")
