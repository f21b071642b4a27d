#pragma once

#include "tapegrad/data/samples.h"
#include "tapegrad/io/image.h"

namespace mnist_classifier {

namespace tg = tapegrad;

// labels and predictions are Int32, [n], each in 0..9.

/// A table of how often each digit was seen as which one; the stronger the colour of a cell, the larger its
/// share of the digit's images. What is right is blue, what is wrong orange.
tg::Image confusion_image(const tg::Tensor& labels, const tg::Tensor& predictions);

/// The images that were seen as another digit than they are, with both below each.
tg::Image mistakes_image(const tg::Samples& images, const tg::Tensor& labels, const tg::Tensor& predictions);

}  // namespace mnist_classifier
