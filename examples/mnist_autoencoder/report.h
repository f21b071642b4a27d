#pragma once

#include <filesystem>
#include <vector>

#include "common/training_run.h"
#include "tapegrad/tapegrad.h"

struct Run {
  tapegrad::Sequential& net;
  const tapegrad::Dataset& test;
  double test_loss = 0;
  tapegrad::Report::Facts options;
  const tapegrad::Metrics* metrics = nullptr;                     // nullptr: nothing was trained
  std::vector<common::TrainingRun::ProcessSpeed> processes = {};  // empty: mpirun did not start the program
};

/// A page about the run: curves, reconstructions, filters, the latent space, the model, the options, the
/// machine.
void write_report(const std::filesystem::path& path, const Run& run);
