#pragma once

// All of tapegrad::mpi: training with the processes of an MPI program.
//
//   find_package(tapegrad REQUIRED COMPONENTS mpi)
//   target_link_libraries(yours PRIVATE tapegrad::mpi)
//
//   mpirun -n 4 yours
//
// A program that trains with one process needs four changes:
//
//   Communicator world;                                                                // MPI_Init, and MPI_Finalize at its end
//   const Loader loader(data, {.batch_size = 512, .part = batch_part(world)});         // reads this process' share alone
//   broadcast(world, net.parameters());                                                // those of process 0
//   for (const Batch& batch : loader.epoch(epoch)) {
//     const auto [loss, gradients] = distributed_batch_gradient(
//         world, [&](const auto& part) { return mse_loss(net(part[0]), part[0]); }, {batch.inputs}, net.parameters(),
//         {.part = batch.part});
//     adam.step(gradients);                                                            // the same bits on all processes
//   }
//   if (world.is_first()) write_safetensors("weights.safetensors", net.state_view());

#include "tapegrad/mpi/communicator.h"
#include "tapegrad/mpi/distributed.h"
#include "tapegrad/mpi/sync_batch_norm.h"
