#pragma once

#include <filesystem>

#include "tapegrad/tapegrad.h"

struct Run {
  tapegrad::Sequential& net;
  const tapegrad::Dataset& test;
  double test_loss = 0;
  tapegrad::Report::Facts options;
  const tapegrad::Metrics* metrics = nullptr;  // nullptr: nothing was trained
};

/// A page about the run: curves, reconstructions, filters, the latent space, the model, the options, the
/// machine.
void write_report(const std::filesystem::path& path, const Run& run);
