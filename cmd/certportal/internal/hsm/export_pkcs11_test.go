//go:build pkcs11

package hsm

import "crypto"

// InModule gives the key of the module that k signs with.
func InModule(k *Key) (crypto.Signer, error) {
	key, _, err := k.token.key(k.ref)
	return key, err
}
