#pragma once

namespace unitvar::check {

/// The library against its reference, on this machine: every instruction set and dtype, each with the largest error of
/// y, dx, dgamma and dbeta of batch, group, layer and RMS norm; and the reference against numeric differentiation.
/// Prints a table. The exit code: 0 if all is right.
int check_self();

}  // namespace unitvar::check
