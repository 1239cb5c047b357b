//go:build !unix

package durable

import "os"

// Lock does nothing: the system has no flock.
func Lock(*os.File) error { return nil }
