// What the scripts of the examples cannot do themselves.
//   helper cut FROM TO COUNT             MNIST's files in FROM, with COUNT images for training and 20 for tests, to TO
//   helper press_ctrl_c FILE PROGRAM...  runs the program, and interrupts it (SIGINT) once FILE has a line

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <tuple>

#include "tapegrad/data/dataset.h"
#include "tapegrad/data/files.h"
#include "tapegrad/io/idx.h"
#include "tapegrad/ops/layout.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;

namespace {

int cut(const fs::path& from, const fs::path& to, tg::index_t count) {
  fs::create_directories(to);
  for (const auto& [split, name, n] :
       {std::tuple(tg::Split::Train, "train", count), std::tuple(tg::Split::Test, "t10k", tg::index_t{20})}) {
    const tg::Dataset data = tg::read_mnist(from, split);
    const tg::Tensor images = tg::slice(tg::read_all(data.inputs), {{0, n}});
    const tg::Tensor labels = tg::slice(tg::read_all(data.targets), {{0, n}});
    tg::write_idx(to / (std::string(name) + "-images-idx3-ubyte"), tg::reshape(images, {n, 28, 28}));
    tg::write_idx(to / (std::string(name) + "-labels-idx1-ubyte"), tg::cast(labels, tg::DType::UInt8));
  }
  return 0;
}

int press_ctrl_c(const fs::path& file, char** command) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGINT, SIG_DFL);  // what runs tests in the background ignores it
    ::execv(command[0], command);
    ::_exit(99);
  }
  int status = 0;
  std::error_code none;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (const auto size = fs::file_size(file, none); !none && size > 0) {
      ::kill(child, SIGINT);
      ::waitpid(child, &status, 0);
      break;
    }
    ::usleep(500);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "cut" && argc == 5) return cut(argv[2], argv[3], std::atoi(argv[4]));
  if (what == "press_ctrl_c" && argc > 3) return press_ctrl_c(argv[2], argv + 3);
  std::cerr << "helper: see its first lines\n";
  return 2;
}
