package kdc

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/samba"
)

// StartSamba runs a domain controller whose KDC accepts certificates, until the end of the
// test. Its realm is [samba.Domain] in capitals, its UPN suffix the same in small letters.
// All keys must be RSA: Samba 4.17 finds no certificate of its own with an EC key, and
// verifies no signature by one.
func StartSamba(t testing.TB, c Config) *KDC {
	t.Helper()
	need(t, "kinit", "klist", "kdestroy")
	c.Realm = strings.ToUpper(samba.Domain)
	k := &KDC{t: t, c: c, folder: t.TempDir()}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	own, err := k.ownCertificate(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.write(map[string]string{"kdc.conf": k.sambaConfig(own)}); err != nil {
		t.Fatal(err)
	}
	k.samba = samba.StartWithKerberos(t, k.file("kdc.conf"))
	k.address = k.samba.Address + ":88"
	if err := k.write(map[string]string{"krb5.conf": k.clientConfig(own.CA)}); err != nil {
		t.Fatal(err)
	}
	return k
}

// sambaConfig is the krb5.conf of the controller.
func (k *KDC) sambaConfig(own daemon.Files) string {
	var lists strings.Builder
	for n := range k.c.Lists {
		fmt.Fprintf(&lists, "pkinit_revoke = FILE:%s\n", k.file(listFile(n)))
	}
	return fmt.Sprintf(`[libdefaults]
default_realm = %s
dns_lookup_kdc = false
dns_lookup_realm = false
[kdc]
enable-pkinit = yes
pkinit_identity = FILE:%s,%s
pkinit_anchors = FILE:%s
pkinit_pool = FILE:%s
pkinit_principal_in_certificate = yes
%s`, k.c.Realm, own.Certificate, own.Key, k.file("root.pem"), k.file("issuing.pem"), lists.String())
}

// DisablePerson disables the account of a person at Samba.
func (k *KDC) DisablePerson(login string) {
	k.t.Helper()
	k.samba.Disable(k.t, "CN="+login+",CN=Users,"+samba.Base)
}
