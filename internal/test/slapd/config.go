package slapd

import (
	"path/filepath"
	"strings"

	"certportal/internal/test/daemon"
)

// schemas is the folder of the standard schemas on Debian.
const schemas = "/etc/ldap/schema"

// config is the server's configuration. The auxiliary class has the attributes that some
// sites copy from Active Directory.
func config(folder string, tls daemon.Files) string {
	lines := []string{
		"include " + filepath.Join(schemas, "core.schema"),
		"include " + filepath.Join(schemas, "cosine.schema"),
		"include " + filepath.Join(schemas, "inetorgperson.schema"),
		"attributetype ( 1.3.6.1.4.1.55555.1.1 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )",
		"attributetype ( 1.3.6.1.4.1.55555.1.2 NAME 'sambaSID' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )",
		"objectclass ( 1.3.6.1.4.1.55555.2.1 NAME 'portalPerson' AUXILIARY MAY ( userPrincipalName $ sambaSID ) )",
		"modulepath /usr/lib/ldap",
		"moduleload back_mdb",
		"pidfile " + filepath.Join(folder, "slapd.pid"),
		"TLSCACertificateFile " + tls.CA,
		"TLSCertificateFile " + tls.Certificate,
		"TLSCertificateKeyFile " + tls.Key,
		"TLSVerifyClient never",
		"security simple_bind=128",
		"disallow bind_anon",
		"access to attrs=userPassword by anonymous auth by * none",
		`access to * by dn.exact="` + Reader + `" read by self read by anonymous auth by * none`,
		"database mdb",
		"maxsize 67108864",
		"suffix " + Base,
		"rootdn " + Admin,
		"rootpw " + AdminPassword,
		"directory " + filepath.Join(folder, "db"),
		"index objectClass,uid,mail,cn,entryUUID eq",
		"dbnosync",
		"",
	}
	return strings.Join(lines, "\n")
}

// seed is the initial content of every database.
const seed = `dn: ` + Base + `
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ` + People + `
objectClass: organizationalUnit
ou: People

dn: ` + Groups + `
objectClass: organizationalUnit
ou: Groups

dn: ` + Reader + `
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: ` + ReaderPassword + `
`
