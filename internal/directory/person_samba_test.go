package directory_test

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"reflect"
	"testing"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
)

// TestSambaCertificateCarriesTheAccount enrols an account and compares UPN and objectSid in
// the certificate with the output of ldbsearch.
func TestSambaCertificateCarriesTheAccount(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, suffixes)
	anna := addAnna(t, fx.dc)
	upn, sid := fx.dc.Database(t, anna.DN, "userPrincipalName"), fx.dc.Database(t, anna.DN, "objectSid")
	want := portal.Person{
		ID: idOf(anna), Login: "anna", UPN: upn, SID: sid, Mail: "a.schmidt@mail.test", Name: "Anna Schmidt",
		GivenName: "Anna", EmployeeNumber: "004711", MayEnroll: true,
		DirectoryName: fx.person(anna).DirectoryName, // TestF_SambaSubjectIsTheDirectoryName
	}
	if got := fx.person(anna); !reflect.DeepEqual(got, want) {
		t.Errorf("person\n%+v, want\n%+v", got, want)
	}
	done, err := fx.enrol(idOf(anna), "phone")
	if err != nil {
		t.Fatal(err)
	}
	file, err := fx.OpenFile(t.Context(), pickupKey.Token(done.Serial))
	if err != nil {
		t.Fatal(err)
	}
	extensions := map[string][]byte{}
	for _, e := range file.Leaf.Extensions {
		extensions[e.Id.String()] = e.Value
	}
	utf8, err := asn1.MarshalWithParams(upn, "utf8")
	if err != nil {
		t.Fatal(err)
	}
	octets, err := asn1.Marshal([]byte(sid))
	if err != nil {
		t.Fatal(err)
	}
	if san := extensions["2.5.29.17"]; upn == "" || !bytes.Contains(san, utf8) {
		t.Errorf("subjectAltName %x, want the UPN %q in it", san, upn)
	}
	if ext := extensions["1.3.6.1.4.1.311.25.2"]; sid == "" || !bytes.HasSuffix(ext, octets) {
		t.Errorf("SID extension %x, want %q at its end", ext, sid)
	}
}

// TestSambaIdentityOutlivesNames checks that the objectGUID identifies a person through
// every rename, until the entry is deleted.
func TestSambaIdentityOutlivesNames(t *testing.T) {
	t.Parallel()
	base := "OU=Staff," + samba.Base
	fx := newFixture(t, suffixes, func(c *directory.LDAPConfig) { c.Base = base })
	anna := addAnna(t, fx.dc)
	fx.person(anna)

	anna.DN = fx.dc.Rename(t, anna.DN, "Anna Meyer, née Schmidt")
	fx.dc.Modify(t, anna.DN, map[string][]string{"sAMAccountName": {"meyer"}, "userPrincipalName": {"anna.meyer@example.test"}})
	if p := fx.person(anna); p.UPN != "anna.meyer@example.test" || p.Login != "meyer" || p.SID != anna.SID {
		t.Errorf("renamed: %+v, want the new names and the old SID", p)
	}
	if p, err := fx.people.Authenticate(t.Context(), "meyer", samba.Password); err != nil || p.ID != idOf(anna) {
		t.Errorf("under the new name: %q, %v, want %q", p.ID, err, anna.GUID)
	}
	if _, err := fx.people.Authenticate(t.Context(), "anna", samba.Password); !errors.Is(err, portal.ErrCredentials) {
		t.Errorf("under the old name: %v, want ErrCredentials", err)
	}

	deeper := fx.dc.AddUnit(t, "Sales", base)
	anna.DN = fx.dc.Move(t, anna.DN, deeper)
	fx.person(anna)
	anna.DN = fx.dc.Move(t, anna.DN, "CN=Users,"+samba.Base)
	if _, err := fx.people.Person(t.Context(), idOf(anna)); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("moved out of the base: %v, want ErrNotFound", err)
	}
	if _, err := fx.people.Authenticate(t.Context(), "meyer", samba.Password); !errors.Is(err, portal.ErrCredentials) {
		t.Errorf("signing in from outside the base: %v, want ErrCredentials", err)
	}
	anna.DN = fx.dc.Move(t, anna.DN, base)
	fx.person(anna)
	fx.dc.Delete(t, anna.DN)
	if _, err := fx.people.Person(t.Context(), idOf(anna)); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("deleted: %v, want ErrNotFound", err)
	}
	fx.wantRefused(t, idOf(anna), portal.Disabled)
}

func TestSambaPersonRefusesWhatIsNobody(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	computer := fx.dc.AddUser(t, samba.User{Login: "PC1$", Computer: true, UPN: "-"})
	group := fx.dc.AddGroup(t, "Phones")
	for _, id := range []portal.PersonID{idOf(computer), idOf(group), "", "anna", "00000000-0000-0000-0000-000000000001",
		"*", portal.PersonID(group.SID), "0)(objectClass=*"} {
		if p, err := fx.people.Person(t.Context(), id); !errors.Is(err, portal.ErrNotFound) {
			t.Errorf("%q: %q, %v, want ErrNotFound", id, p.ID, err)
		}
	}
}

func TestSambaMatchesClaims(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, suffixes)
	anna, bob := addAnna(t, fx.dc), fx.dc.AddUser(t, samba.User{Login: "bob"})
	cases := []struct {
		name  string
		claim portal.Claim
		want  samba.Entry
	}{
		{"SID", portal.Claim{SID: anna.SID}, anna},
		{"UPN", portal.Claim{UPN: "anna.schmidt@example.test"}, anna},
		{"UPN in other case", portal.Claim{UPN: "Anna.Schmidt@EXAMPLE.test"}, anna},
		{"both", portal.Claim{SID: anna.SID, UPN: "anna.schmidt@example.test"}, anna},
		{"of two people", portal.Claim{SID: anna.SID, UPN: "bob@corp.example.test"}, samba.Entry{}},
		{"SID of nobody", portal.Claim{SID: fx.dc.SID + "-999999", UPN: "bob@corp.example.test"}, samba.Entry{}},
		{"empty", portal.Claim{}, samba.Entry{}},
		{"SID of a group", portal.Claim{SID: fx.dc.SID + "-513"}, samba.Entry{}},
		{"login instead of UPN", portal.Claim{UPN: "bob"}, samba.Entry{}},
		{"filter", portal.Claim{UPN: "*"}, samba.Entry{}},
		{"filter in SID", portal.Claim{SID: "*"}, samba.Entry{}},
		{"binary wildcard", portal.Claim{SID: "S-1-5-21-*"}, samba.Entry{}},
		{"plain", portal.Claim{UPN: "bob@corp.example.test"}, bob},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, err := fx.people.Match(t.Context(), c.claim)
			if p.ID != idOf(c.want) || (c.want.GUID == "") != errors.Is(err, portal.ErrNotFound) {
				t.Errorf("got %q, %v, want %q", p.ID, err, c.want.GUID)
			}
		})
	}
}
