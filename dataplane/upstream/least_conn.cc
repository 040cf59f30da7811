#include "dataplane/upstream/policies.h"

namespace headgate::upstream {

// The heap is ordered by active/weight (WorkerLoad keeps it so in start() and finish()), and among equals by turn: an
// idle set is served as by weighted round robin.
uint32_t pick_least_conn(Choice& choice) { return choice.take_turn(); }

}  // namespace headgate::upstream
