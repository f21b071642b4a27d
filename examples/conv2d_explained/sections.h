#pragma once

#include "lesson.h"

namespace conv2d_explained {

// The documents, by their file names.
inline constexpr const char* k000 = "000_43b7555a9ed49f4e.txt";
inline constexpr const char* k001 = "001_b481d745dbbf1994.txt";
inline constexpr const char* k002 = "002_c62a725283494ea4.txt";
inline constexpr const char* k003 = "003_4c637082f5e8606a.txt";
inline constexpr const char* k004 = "004_a9f84812eda3796d.txt";

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

// corrections.cpp: what the documents say loosely or wrongly.
void corrections(Lesson& lesson);

}  // namespace conv2d_explained
