package kerberos

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/keytab"
)

// aes are the encryption types that are used.
func aes() []int32 {
	return []int32{etypeID.AES256_CTS_HMAC_SHA1_96, etypeID.AES128_CTS_HMAC_SHA1_96,
		etypeID.AES256_CTS_HMAC_SHA384_192, etypeID.AES128_CTS_HMAC_SHA256_128}
}

// CheckKeytab reports why a keytab has no key that an account can use.
func CheckKeytab(text []byte, principal string) (err error) {
	defer func() {
		if recover() != nil {
			err = errDamaged
		}
	}()
	name, realm, err := Principal(principal)
	if err != nil {
		return err
	}
	_, err = readKeys(text, name, realm)
	return err
}

// errDamaged is in the place of the library's error, which holds the keys.
var errDamaged = errors.New("reading keytab: it is damaged")

// readKeys leaves only the account's AES keys in a keytab.
func readKeys(text []byte, name, realm string) (*keytab.Keytab, error) {
	all, own := keytab.New(), keytab.New()
	if all.Unmarshal(text) != nil {
		return nil, errDamaged
	}
	for _, e := range all.Entries {
		if e.Principal.Realm == realm && strings.Join(e.Principal.Components, "/") == name && slices.Contains(aes(), e.Key.KeyType) {
			own.Entries = append(own.Entries, e)
		}
	}
	if len(own.Entries) == 0 {
		return nil, fmt.Errorf("keytab has no AES key of %s@%s: make one with ktpass /crypto AES256-SHA1, and let the account use AES", name, realm)
	}
	return own, nil
}
