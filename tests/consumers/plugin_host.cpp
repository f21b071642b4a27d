// A program that knows nothing of tapegrad loads a library that uses it, calls it, and drops it, again and again: on
// threads that end before that, on a thread that lasts, and after a fork.
//   plugin_host PLUGIN
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

#include "sanitizers.h"
#if TAPEGRAD_ADDRESS_SANITIZER
#include <sanitizer/lsan_interface.h>
#endif

namespace {

const char* path = nullptr;
double expected = 0;
int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "plugin_host: %s\n", what);
  ++failures;
}

int threads() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("Threads:")) return std::stoi(line.substr(8));
  return -1;
}

// Whether a library of this name is in the address space.
bool mapped(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (line.find(name) != std::string::npos) return true;
  return false;
}

// Neither the plugin nor the library that it brings along stays when it is dropped.
void expect_gone() {
  expect(!mapped(std::string(path).substr(std::string(path).rfind('/') + 1)), "the plugin must be gone");
  expect(!mapped("libtapegrad"), "the library must be gone");
}

void* load() {
#if TAPEGRAD_ADDRESS_SANITIZER
  const __lsan::ScopedDisabler disabled;  // each time that GCC's OpenMP is loaded, it keeps 8 bytes for ever
#endif
  void* plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) {
    std::fprintf(stderr, "plugin_host: %s\n", dlerror());
    _exit(1);
  }
  return plugin;
}

double train(void* plugin) {
  const auto function = reinterpret_cast<double (*)()>(dlsym(plugin, "plugin_train"));
  return function == nullptr ? -1 : function();
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  path = arguments[1];

  // On threads that come and go.
  std::thread([] {}).join();  // with the first thread, a sanitizer starts one of its own
  const int before = threads();
  for (int again = 0; again < 5; ++again) {
    void* plugin = load();
    double loss = -1;
    std::thread([&] { loss = train(plugin); }).join();
    if (again == 0) expected = loss;
    expect(loss > 0 && loss == expected, "a thread must get the same loss each time");
    expect(threads() == before, "a thread that has ended must leave no threads");
    expect(dlclose(plugin) == 0, "the library must be dropped");
    expect_gone();
  }

  // Two threads, each loading for itself.
  std::thread pair[2];
  double losses[2] = {};
  for (int i = 0; i < 2; ++i)
    pair[i] = std::thread([i, &losses] {
      void* plugin = load();
      losses[i] = train(plugin);
      dlclose(plugin);
    });
  for (std::thread& thread : pair) thread.join();
  expect(losses[0] == expected && losses[1] == expected, "two threads at once must get that loss");

  // On this thread, whose memory and workers outlive the handle: the library stays, once, until the thread ends.
  for (int again = 0; again < 5; ++again) {
    void* plugin = load();
    expect(train(plugin) == expected, "the first thread must get that loss");
    expect(dlclose(plugin) == 0, "the library must be dropped by the first thread");
  }

#if !TAPEGRAD_THREAD_SANITIZER
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    void* plugin = load();
    const bool good = train(plugin) == expected;
    dlclose(plugin);
    _exit(good ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child process must load it anew");
#endif
  return failures == 0 ? 0 : 1;
}
