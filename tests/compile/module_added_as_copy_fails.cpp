// Nor is a layer copied into a Sequential, or out of a vector of layers.
// must say: clone\(\) makes a copy
#include "tapegrad/nn/layers.h"

void f(tapegrad::Sequential& net, std::vector<tapegrad::Dense>& layers) {
#ifdef FIXED
  net.add(std::move(layers[0])).add(clone(layers[1]));
  for (tapegrad::Dense& layer : layers) layer.freeze();
#else
  net.add(layers[0]);
  for (tapegrad::Dense layer : layers) layer.freeze();
#endif
}
