"""DOKU's side of the fence: layouts, envelope, keys, response codes, the SFTP server."""
