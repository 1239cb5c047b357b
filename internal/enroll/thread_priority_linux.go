package enroll

import (
	"log/slog"
	"syscall"
)

// lowerThreadPriority makes the calling thread nice, so that keys are made ahead
// in otherwise idle time. On Linux a nice value belongs to a thread.
func lowerThreadPriority(log *slog.Logger) {
	const nice = 15
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), nice); err != nil {
		log.Warn("key worker keeps normal priority", "err", err)
	}
}
