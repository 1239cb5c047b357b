//go:build !(linux || darwin || freebsd)

package doctor

import "errors"

// spaceOf is not known here.
func spaceOf(string) (Space, error) { return Space{}, errors.ErrUnsupported }
