//go:build !linux

package enroll

import "log/slog"

// lowerThreadPriority does nothing where threads have no priority of their own.
func lowerThreadPriority(*slog.Logger) {}
