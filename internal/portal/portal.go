// Package portal holds the domain types that all packages share: people and
// their roles, devices and certificates, who acts, and the errors that have a meaning
// for more than one package.
//
// A Refusal is what a person can mend, a Denial refuses a device, an Outage names a part
// that is down. Unknown errors are faults of the portal. The package knows no HTTP, SQL
// or LDAP, and decides nothing.
package portal
