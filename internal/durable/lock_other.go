//go:build !unix

package durable

import "os"

// NoFollow is no flag here.
const NoFollow = 0

// Lock does nothing: the system has no flock.
func Lock(*os.File) error { return nil }
