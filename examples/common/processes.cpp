#include "common/processes.h"

#include <algorithm>
#include <cstdlib>

#include "tapegrad/base/parallel.h"
#ifdef TAPEGRAD_EXAMPLES_MPI
#include "tapegrad/mpi/mpi.h"
#endif

namespace common {
namespace {

// What batch_gradient() begins with. Left to itself it would go on with larger chunks where the parameters outweigh the
// activations (a LeNet and few images), which many processes could not share.
tg::index_t chunk_of(tg::index_t samples) {
  return std::clamp<tg::index_t>(samples / 8, 4, 16);
}

tg::BatchGradient alone(const tg::TensorFunction& loss, const std::vector<tg::Tensor>& batch,
                        const tg::BatchPart& part, const std::vector<tg::Tensor>& parameters) {
  return tg::batch_gradient(loss, batch, parameters, {.chunk = chunk_of(part.samples)});
}

}  // namespace

#ifdef TAPEGRAD_EXAMPLES_MPI

struct Processes::World {
  tg::Communicator all;
};

namespace {

// What Open MPI's mpirun, MPICH's, and Slurm's srun tell the processes that they start; 0 if nobody did.
int number_from(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const char* text = std::getenv(name)) return std::max(1, std::atoi(text));
  return 0;
}

}  // namespace

Processes::Processes() {
  if (number_from({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"}) > 0) world_ = std::make_unique<World>();
}
Processes::~Processes() = default;

int Processes::count() const {
  return world_ ? world_->all.processes() : 1;
}
int Processes::number() const {
  return world_ ? world_->all.process() : 0;
}

int Processes::threads(int asked, bool is_asked) const {
  if (is_asked || !world_) return asked;
  const int here = number_from({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE"});
  return std::max(1, asked / std::max(1, here));
}

std::function<tg::BatchPart(tg::index_t)> Processes::part() const {
  if (!world_) return {};
  return [all = &world_->all](tg::index_t samples) { return tg::share_of(*all, samples, chunk_of(samples)); };
}

tg::BatchGradient Processes::gradient(const tg::TensorFunction& loss, const std::vector<tg::Tensor>& batch,
                                      const tg::BatchPart& part, const std::vector<tg::Tensor>& parameters) {
  if (!world_) return alone(loss, batch, part, parameters);
  return tg::distributed_batch_gradient(world_->all, loss, batch, parameters,
                                        {.chunk = chunk_of(part.samples), .part = part});
}

bool Processes::any(bool yes) {
  return world_ ? world_->all.any(yes) : yes;
}

void Processes::on_first(const std::function<void()>& f) {
  if (world_)
    world_->all.on_first(f);
  else
    f();
}

std::optional<tg::Checkpoints::Newest> Processes::newest(tg::Checkpoints& checkpoints) {
  return world_ ? tg::newest(world_->all, checkpoints) : checkpoints.newest();
}

std::vector<double> Processes::gather(double number) {
  return world_ ? world_->all.gather(number) : std::vector<double>{number};
}

void Processes::hand_out(tg::index_t count, const std::function<std::string(tg::index_t)>& work,
                         const std::function<void(tg::index_t, const std::string&)>& done) {
  if (world_) return world_->all.hand_out(count, work, done);
  for (tg::index_t i = 0; i < count; ++i) done(i, work(i));
}

double Processes::seconds_communicating() const {
  return world_ ? world_->all.seconds_waited() : 0;
}

#else

struct Processes::World {};
Processes::Processes() = default;
Processes::~Processes() = default;
int Processes::count() const {
  return 1;
}
int Processes::number() const {
  return 0;
}
int Processes::threads(int asked, bool) const {
  return asked;
}
std::function<tg::BatchPart(tg::index_t)> Processes::part() const {
  return {};
}
tg::BatchGradient Processes::gradient(const tg::TensorFunction& loss, const std::vector<tg::Tensor>& batch,
                                      const tg::BatchPart& part, const std::vector<tg::Tensor>& parameters) {
  return alone(loss, batch, part, parameters);
}
bool Processes::any(bool yes) {
  return yes;
}
void Processes::on_first(const std::function<void()>& f) {
  f();
}
std::optional<tg::Checkpoints::Newest> Processes::newest(tg::Checkpoints& checkpoints) {
  return checkpoints.newest();
}
std::vector<double> Processes::gather(double number) {
  return {number};
}
void Processes::hand_out(tg::index_t count, const std::function<std::string(tg::index_t)>& work,
                         const std::function<void(tg::index_t, const std::string&)>& done) {
  for (tg::index_t i = 0; i < count; ++i) done(i, work(i));
}
double Processes::seconds_communicating() const {
  return 0;
}

#endif

}  // namespace common
