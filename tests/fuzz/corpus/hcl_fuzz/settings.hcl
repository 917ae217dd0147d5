a = <<-END
    one "x"

      two
    END
b = [<<A
y
A
, 0x1F, -2.5e-3, true,] /* c */ # d
listener "tcp" { "q" = "\u00e9\uD83D\uDE00\x41\n" } // e
