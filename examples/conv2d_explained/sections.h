#pragma once

#include "lesson.h"

namespace conv2d_explained {

// The sections, in the order in which they are told.

// stamps.cpp: what a transposed convolution is.
void one_stamp(Lesson& lesson);
void side_by_side(Lesson& lesson);
void nearest_neighbour(Lesson& lesson);
void overlapping_stamps(Lesson& lesson);

// plain_convolution.cpp: the same as a plain convolution, and as a matrix.
void four_steps_of_torch(Lesson& lesson);
void sizes(Lesson& lesson);
void matrix(Lesson& lesson);
void many_channels(Lesson& lesson);
void three_calls(Lesson& lesson);

// gradients.cpp: the same as a gradient.
void gradients(Lesson& lesson);
void identity(Lesson& lesson);

// corrections.cpp: common claims that are loose or wrong.
void corrections(Lesson& lesson);

}  // namespace conv2d_explained
