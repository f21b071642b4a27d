// Takes the weights of one net to another one, in a file of NumPy's.
#include <iostream>

#include "tapegrad/exchange/exchange.h"
#include "tapegrad/tapegrad.h"

int main(int argc, char** argv) {
  namespace tg = tapegrad;
  if (argc != 2) return 2;
  const std::string path = std::string(argv[1]) + "/weights.npz";
  tg::Generator generator(1);
  tg::Dense one({.in_features = 3, .units = 2}, generator), other({.in_features = 3, .units = 2}, generator);
  const tg::Tensor x = tg::ones({1, 3});
  try {
    tg::write_npz(path, one.state().tensors);
    other.load_state(tg::read_weights(path));
  } catch (const tg::Error& error) {
    std::cout << "refused: " << error.what() << "\n";
    return 1;
  }
  return tg::equal(one(x), other(x)) ? 0 : 1;
}
