package kerberos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// ask gets a ticket from the KDC.
func (a *Account) ask(service string) (t ticket, err error) {
	defer func() {
		// What the network sends must not end the process, and this parser is not ours.
		if r := recover(); r != nil {
			err = fmt.Errorf("asking for a ticket for %s: answer cannot be read: %v", service, r)
		}
	}()
	text, err := a.config.Keytab()
	if err != nil {
		return ticket{}, fmt.Errorf("reading keytab: %w", err)
	}
	keys, err := readKeys(text, a.name, a.realm)
	if err != nil {
		return ticket{}, err
	}
	realms, err := a.realms()
	if err != nil {
		return ticket{}, err
	}
	// Windows answers FAST in a way that the library refuses.
	cl := client.NewWithKeytab(a.name, a.realm, keys, realms, client.DisablePAFXFAST(true))
	defer cl.Destroy()
	first, err := messages.NewASReqForTGT(a.realm, realms, cl.Credentials.CName())
	if err != nil {
		return ticket{}, fmt.Errorf("signing in to Kerberos as %s: %w", a.config.Principal, err)
	}
	var granting messages.ASRep
	err = a.guard.Try(context.Background(), string(text), func() (err error) { // no other waits: see asking
		granting, err = cl.ASExchange(a.realm, first, 0)
		return explain(err)
	})
	if err != nil {
		return ticket{}, fmt.Errorf("signing in to Kerberos as %s: %w", a.config.Principal, err)
	}
	principal := types.NewPrincipalName(nametype.KRB_NT_SRV_INST, service)
	_, got, err := cl.TGSREQGenerateAndExchange(principal, a.realm, granting.Ticket, granting.DecryptedEncPart.Key, false)
	if err != nil {
		return ticket{}, fmt.Errorf("asking for a ticket for %s: %w", service, explain(err))
	}
	return ticket{got.Ticket, got.DecryptedEncPart.Key, granting.CRealm, granting.CName, got.DecryptedEncPart.EndTime}, nil
}

// aes are the encryption types that are used.
func aes() []int32 {
	return []int32{etypeID.AES256_CTS_HMAC_SHA1_96, etypeID.AES128_CTS_HMAC_SHA1_96,
		etypeID.AES256_CTS_HMAC_SHA384_192, etypeID.AES128_CTS_HMAC_SHA256_128}
}

// CheckKeytab reports why a keytab has no key that an account can use.
func CheckKeytab(text []byte, principal string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("reading keytab: it is damaged")
		}
	}()
	name, realm, err := Principal(principal)
	if err != nil {
		return err
	}
	_, err = readKeys(text, name, realm)
	return err
}

// readKeys leaves only the account's AES keys in a keytab.
func readKeys(text []byte, name, realm string) (*keytab.Keytab, error) {
	all, own := keytab.New(), keytab.New()
	if all.Unmarshal(text) != nil { // an error that holds the keys
		return nil, errors.New("reading keytab: it is damaged")
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

// realms makes the configuration of the library: AES, by TCP, and of the text the KDCs only.
func (a *Account) realms() (*config.Config, error) {
	c := config.New()
	if a.config.Realms != nil {
		text, err := a.config.Realms()
		if err != nil {
			return nil, fmt.Errorf("reading KDCs: %w", err)
		}
		given, err := config.NewFromString(string(text))
		if _, other := errors.AsType[config.UnsupportedDirective](err); err != nil && !other {
			return nil, fmt.Errorf("reading KDCs: %w", err)
		}
		c.Realms = given.Realms
	}
	d := &c.LibDefaults
	d.DefaultRealm, d.DNSLookupKDC, d.UDPPreferenceLimit = a.realm, true, 1
	d.DefaultTktEnctypeIDs, d.DefaultTGSEnctypeIDs, d.PermittedEnctypeIDs = aes(), aes(), aes()
	return c, nil
}
