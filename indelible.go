// Package indelible keeps an audit log of LLM traffic that never loses a record.
package indelible
