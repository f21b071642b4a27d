// A module of one's own is cloned by a constructor that copies its members.
// must say: clone\(\) needs a constructor M\(const M& other, Cloning cloning\)
#include "tapegrad/nn/layers.h"

struct Net : tapegrad::Module {
  explicit Net(tapegrad::Generator& generator) : layer({.in_features = 2, .units = 2}, generator) {}
#ifdef FIXED
  Net(const Net& other, tapegrad::Cloning cloning) : layer(other.layer, cloning) {}
#endif
  tapegrad::Tensor forward(const tapegrad::Tensor& x) override {
    return layer(x);
  }
  void visit(tapegrad::Visitor& visitor) override {
    visitor("layer", layer);
  }
  tapegrad::Dense layer;
};

Net f(const Net& net) {
  return clone(net);
}
