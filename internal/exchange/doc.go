// Package exchange makes the PowerShell with which administrators set up Exchange for
// certificates of the portal, and end what a lost phone has of a mailbox.
package exchange
