// Package enroll is the registrar: it decides whether a person may have a certificate,
// records that it will be issued, has the CA sign it, and encrypts key and password for
// the one device that asked. It renews, revokes and removes certificates, and issues the
// portal's own.
//
// Its rules: names in a certificate come from the directory at the moment of issuing and
// never from a request; a certificate is recorded before it is signed; a private key made
// here exists in memory for one issuance and encrypted in one pickup, under a token that
// the portal does not keep; every act and its audit entry are one transaction.
//
// The package imports neither net/http nor database/sql nor LDAP: it declares what it
// needs as interfaces, above all [Store].
package enroll
