//go:build !pkcs11

package hsm

import "certportal/ca"

// Built reports whether the program was built with PKCS#11.
const Built = false

func openSession(string, string, string) (session, error) { return nil, ErrWithout }

func inspect(string, string, ca.KeyKind) error { return ErrWithout }
