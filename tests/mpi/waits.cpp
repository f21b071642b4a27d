// Process 1 stops itself; the others say whom they wait for.
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <iostream>

#include "tapegrad/base/error.h"
#include "tapegrad/mpi/mpi.h"

int main(int, char** argv) {
  try {
    tapegrad::Communicator world({.time_limit = 2});
    world.barrier();
    if (world.process() == 1) {
      std::ofstream(argv[1]) << getpid() << "\n";
      raise(SIGSTOP);
    }
    world.barrier();
  } catch (const tapegrad::Error& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
