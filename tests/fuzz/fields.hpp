#pragma once

/// What describes the fields of a struct of arguments of the C interface: visit(args, f)
/// calls f.extent(field), f.in(field, kind, need) or f.out(field, kind, need) for each pointer, f.number(field, usual
/// value), f.activation(field) and f.count(field).
namespace unitvar::fuzz {

/// How many elements a field has, and of which type.
enum class Kind { tensor, parameter, statistic, weight, mask };
enum class Need { always, optional };

}  // namespace unitvar::fuzz
