// Modules are moved: a copy would train the original's parameters.
// must say: clone\(\) makes a copy
#include "tapegrad/nn/layers.h"

struct Net : tapegrad::Module {
  explicit Net(tapegrad::Generator& generator) : layer({.in_features = 2, .units = 2}, generator) {}
  tapegrad::Tensor forward(const tapegrad::Tensor& x) override { return layer(x); }
  void visit(tapegrad::Visitor& visitor) override { visitor("layer", layer); }
  tapegrad::Dense layer;
};

Net f(Net& net) {
#ifdef FIXED
  Net other = std::move(net);
#else
  Net other = net;
#endif
  return other;
}
