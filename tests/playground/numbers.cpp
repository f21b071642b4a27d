// Calls the functions of examples/playground as the standard input says, one call a line, and prints what they answer, one answer
// a line: what the page, which has the same functions as WebAssembly, must say.
//
//   fill SEED                       scene TRANSPOSE SIZE KERNEL STRIDE PADDING DILATION OUTPUT_PADDING
//   stamps LAST                     train SEED BATCH LEARNING_RATE
//   steps COUNT (prints the losses) test COUNT                          pictures COUNT (prints their sums)
//   set FIELD INDEX VALUE           rate LEARNING_RATE

#include <cstdio>
#include <iostream>
#include <string>

#include "playground/playground.h"

namespace {

void print_steps(int count) {
  std::printf("[");
  for (int i = 0; i < count; ++i) std::printf("%s%.17g", i > 0 ? "," : "", playground_step());
  std::printf("]\n");
}

// The sum of each image's pixels.
void print_pictures(int count) {
  const float* pixel = playground_pictures(count);
  std::printf("[");
  for (int image = 0; image < 2 * count; ++image) {
    double sum = 0;
    for (int i = 0; i < 28 * 28; ++i) sum += *pixel++;
    std::printf("%s%.17g", image > 0 ? "," : "", sum);
  }
  std::printf("]\n");
}

}  // namespace

int main() {
  std::string call;
  while (std::cin >> call) {
    int n[7] = {};
    const auto read = [&](int count) {
      for (int i = 0; i < count; ++i) std::cin >> n[i];
    };
    if (call == "fill") {
      read(1);
      playground_fill(n[0]);
      std::puts("null");
    } else if (call == "scene") {
      read(7);
      std::puts(playground_scene(n[0], n[1], n[2], n[3], n[4], n[5], n[6]));
    } else if (call == "stamps") {
      read(1);
      std::puts(playground_stamps(n[0]));
    } else if (call == "train") {
      double rate = 0;
      read(2);
      std::cin >> rate;
      std::puts(playground_train(n[0], n[1], rate));
    } else if (call == "steps") {
      read(1);
      print_steps(n[0]);
    } else if (call == "set") {
      double value = 0;
      read(2);
      std::cin >> value;
      playground_field(n[0])[n[1]] = value;
      std::puts("null");
    } else if (call == "rate") {
      double rate = 0;
      std::cin >> rate;
      playground_set_learning_rate(rate);
      std::puts("null");
    } else if (call == "test") {
      read(1);
      std::printf("%.17g\n", playground_test_loss(n[0]));
    } else if (call == "pictures") {
      read(1);
      print_pictures(n[0]);
    } else {
      std::fprintf(stderr, "playground_numbers: there is no call %s\n", call.c_str());
      return 2;
    }
  }
  return 0;
}
