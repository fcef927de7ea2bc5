// Module forgetfs is the file system of the power cut tests, apart from the
// product's own dependencies.
module indelible/test/forgetfs

go 1.26

require github.com/hanwen/go-fuse/v2 v2.12.1

require golang.org/x/sys v0.28.0 // indirect
