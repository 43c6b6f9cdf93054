// MPI calls that fail when a test asks for it, by MPI's own profiling interface (MPI 3.1, section 14.2).
#include "sync/failing_mpi.hpp"

#include <mpi.h>

namespace unitvar::test {
namespace {

MpiCall failing = MpiCall::none;

}  // namespace

FailingMpi::FailingMpi(MpiCall call) { failing = call; }
FailingMpi::~FailingMpi() { failing = MpiCall::none; }

}  // namespace unitvar::test

using unitvar::test::failing;
using unitvar::test::MpiCall;

extern "C" {

int MPI_Iallreduce(const void* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                   MPI_Request* request) {
  if (failing == MpiCall::iallreduce) return MPI_ERR_OTHER;
  return PMPI_Iallreduce(in, out, count, type, op, comm, request);
}

int MPI_Wait(MPI_Request* request, MPI_Status* status) {
  const int result = PMPI_Wait(request, status);
  return failing == MpiCall::wait ? MPI_ERR_TRUNCATE : result;
}

int MPI_Op_create(MPI_User_function* function, int commute, MPI_Op* op) {
  if (failing == MpiCall::op_create) return MPI_ERR_INTERN;
  return PMPI_Op_create(function, commute, op);
}

int MPI_Type_commit(MPI_Datatype* type) {
  if (failing == MpiCall::type_commit) return MPI_ERR_TYPE;
  return PMPI_Type_commit(type);
}
}
