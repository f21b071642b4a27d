#pragma once

// Strips: how a batch of images is cut into groups of rows.

#include <algorithm>

#include "tapegrad/kernels/conv2d/correlation.h"

namespace tapegrad::inline v0::kernels {

/// The rows [begin, end) of the images [first, last).
struct Strip {
  index_t first, last, begin, end;

  index_t images() const { return last - first; }
};

/// A batch of images in strips of about `wanted` rows, cut by sizes only: some whole images, or a part of
/// one.
class Strips {
 public:
  Strips() = default;  // none
  Strips(index_t batch, index_t rows, index_t wanted)
      : batch_(batch),
        rows_(rows),
        images_(divide_up(batch, divide_up(batch, std::max<index_t>(1, wanted / rows)))),
        parts_(divide_up(rows, std::max<index_t>(1, wanted))),
        part_(divide_up(rows, parts_)) {}

  index_t count() const { return divide_up(batch_, images_) * parts_; }
  Strip operator[](index_t i) const {
    const index_t first = i / parts_ * images_, begin = i % parts_ * part_;
    return {first, std::min(first + images_, batch_), std::min(begin, rows_), std::min(begin + part_, rows_)};
  }

 private:
  index_t batch_ = 0, rows_ = 0;
  index_t images_ = 1;            // images in a strip
  index_t parts_ = 0, part_ = 0;  // parts of an image, and rows in a part
};

/// The part of a stretch of rows that lies in the strip.
inline Stretch clip(Stretch stretch, const Strip& strip) {
  stretch.begin = std::max(stretch.begin, strip.begin);
  stretch.end = std::max(stretch.begin, std::min(stretch.end, strip.end));
  return stretch;
}

}  // namespace tapegrad::inline v0::kernels
