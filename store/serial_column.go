package store

import (
	"fmt"

	"certportal/ca"
)

func serialOf(stored string) (ca.Serial, error) {
	serial, err := ca.ParseSerial(stored)
	if err != nil {
		return ca.Serial{}, fmt.Errorf("reading serial %q: %w", stored, err)
	}
	return serial, nil
}
