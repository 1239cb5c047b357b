// Package replicas runs three real portals on one PostgreSQL, behind HAProxy and nginx with
// the configurations of docs/replicas.md, and plays people who meet a different portal with
// each request. It has no code.
package replicas
