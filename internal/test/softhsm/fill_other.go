//go:build !linux

package softhsm

import (
	"errors"
	"testing"
)

func fill(testing.TB, string) error { return errors.New("only on Linux") }
