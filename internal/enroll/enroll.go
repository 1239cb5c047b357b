// Package enroll is the heart of the portal: who a person is, which devices and
// certificates they have, and the registrar that decides whether a certificate
// may be issued, records that it will be, has it signed, and seals the result
// for the one device that asked.
//
// It holds the rules that never bend: what stands in a certificate comes from
// the directory at the moment of issuing, never from a request; a certificate is
// recorded before it is signed; a private key exists in memory for one issuance
// and sealed in one pickup, under a token the portal does not keep; and every
// act is recorded in the ledger in the transaction of the act, or it does not
// happen.
//
// The package knows neither HTTP nor SQL nor LDAP. It says what it needs in
// small interfaces (Directory, Issuer, Records, Inventory, Pickups, Attempts,
// Handoffs, Challenges, Invitations) that the rooms above fulfil.
package enroll
