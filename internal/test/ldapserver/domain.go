package ldapserver

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

// Properties of the domain that Server.Domain creates.
const (
	Name    = "corp.example.test"
	NetBIOS = "CORP"
	Base    = "DC=corp,DC=example,DC=test"

	Reader         = "reader@corp.example.test" // the portal's account
	ReaderPassword = "reader's password"
)

// domainID is the binary SID of the domain, without the relative identifier.
const domainID = "\x01\x05\x00\x00\x00\x00\x00\x05\x15\x00\x00\x00\xdc\xf4\xdc\x3b\x83\x3d\x2b\x46\x82\x8b\xa6\x28"

// Domain adds an Active Directory domain: the domain entry, its crossRef in the forest,
// Domain Users, and the portal's account.
func (s *Server) Domain() {
	s.SetPassword(Reader, ReaderPassword)
	s.Add(
		Entry{DN: "", Attributes: map[string][]string{
			"defaultNamingContext":       {Base},
			"configurationNamingContext": {"CN=Configuration," + Base},
			"currentTime":                {time.Now().UTC().Format("20060102150405.0Z")},
		}},
		Entry{DN: Base, Attributes: map[string][]string{
			"lockoutThreshold": {"5"}, "lockOutObservationWindow": {"-18000000000"},
		}},
		Entry{DN: "CN=Partitions,CN=Configuration," + Base, Attributes: map[string][]string{}},
		Entry{DN: "CN=CORP,CN=Partitions,CN=Configuration," + Base, Attributes: map[string][]string{
			"objectClass": {"crossRef"}, "nCName": {Base}, "nETBIOSName": {NetBIOS}, "dnsRoot": {Name},
		}},
	)
	s.Group("Domain Users", 513)
}

// SID returns an account's SID as text.
func SID(number uint32) string {
	return "S-1-5-21-1004336348-1177238915-682003330-" + strconv.FormatUint(uint64(number), 10)
}

// SIDBytes returns an account's SID in binary.
func SIDBytes(number uint32) string {
	return string(binary.LittleEndian.AppendUint32([]byte(domainID), number))
}

// GUID returns the objectGUID of an account as text.
func GUID(number uint32) string { return guidText(guidBytes(number)) }

func guidBytes(number uint32) string {
	return string(binary.BigEndian.AppendUint32([]byte("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"), number))
}

func guidText(b string) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", []byte{b[3], b[2], b[1], b[0]}, []byte{b[5], b[4]}, []byte{b[7], b[6]}, b[8:10], b[10:])
}

// Group adds a group and returns its DN.
func (s *Server) Group(name string, number uint32) string {
	dn := "CN=" + name + ",CN=Users," + Base
	s.Add(Entry{DN: dn, Attributes: map[string][]string{
		"objectClass": {"top", "group"}, "objectSid": {SIDBytes(number)}, "sAMAccountName": {name},
		"objectGUID": {guidBytes(number)},
	}})
	return dn
}

// Person adds a person with a password, in Domain Users and further groups, and returns the
// DN.
func (s *Server) Person(login, password string, number uint32, groups ...uint32) string {
	dn := "CN=" + login + ",CN=Users," + Base
	tokens := []string{SIDBytes(513)}
	for _, group := range groups {
		tokens = append(tokens, SIDBytes(group))
	}
	s.Add(Entry{DN: dn, Attributes: map[string][]string{
		"objectClass": {"top", "person", "organizationalPerson", "user"}, "objectCategory": {"person"},
		"objectGUID": {guidBytes(number)}, "objectSid": {SIDBytes(number)},
		"sAMAccountName": {login}, "userPrincipalName": {login + "@" + Name}, "mail": {login + "@mail.example.test"},
		"displayName": {login + " Example"}, "givenName": {login}, "sn": {"Example"},
		"userAccountControl": {"512"}, "accountExpires": {"9223372036854775807"},
		"msDS-User-Account-Control-Computed": {"0"}, "primaryGroupID": {"513"}, "tokenGroups": tokens,
	}})
	s.SetPassword(dn, password)
	return dn
}
