// Keeps the processor that it runs on from halting, at the lowest priority there is (SCHED_IDLE: whatever else wants to run,
// runs), until the process that started it ends.
//
// A client and its server take turns, and whoever waits longer than a moment lets its processor halt. On a virtual machine a halt
// and the wake-up cost tens of microseconds, as much as a whole request; which contender meets them is decided by some
// microseconds more or less, so that one client measures the hypervisor. With all processors awake, each pays for its work alone.
#include <sched.h>
#include <sys/prctl.h>

#include <csignal>

#include "shmem/core_base.hpp"

int main() {
    struct sched_param lowest = {};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || sched_setscheduler(0, SCHED_IDLE, &lowest) != 0) return 1;
    for (;;) mirox::shmem::pause();
}
